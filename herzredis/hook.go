package herzredis

import (
	"context"
	"net"

	"github.com/redis/go-redis/v9"

	"herz.example/herz/guard"
)

// maxRepeats bounds the repeats of one command. Each takes another connection of the pool, all of which may be dead.
const maxRepeats = 1000

// Hook repeats a command, or a whole pipeline, while the error proves that it was not delivered, at most 1,000 times, and
// until the context ends. It waits for nothing between: a refused connection has left the pool.
func Hook() redis.Hook { return hook{} }

type hook struct{}

// DialHook passes on.
func (hook) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

// ProcessHook repeats one command.
func (hook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		for n := 0; n < maxRepeats && guard.SafeToRetry(err) && ctx.Err() == nil; n++ {
			cmd.SetErr(nil)
			err = next(ctx, cmd)
		}
		return err
	}
}

// ProcessPipelineHook repeats a pipeline, of which nothing was sent.
func (hook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		for n := 0; n < maxRepeats && guard.SafeToRetry(err) && ctx.Err() == nil; n++ {
			for _, c := range cmds {
				c.SetErr(nil)
			}
			err = next(ctx, cmds)
		}
		return err
	}
}
