package herzconfig

import (
	"database/sql/driver"
	"errors"
	"io/fs"
	"log/slog"
	"time"

	"herz.example/herz/herzsql"
)

// DefaultPath is the file of a Config that names none.
const DefaultPath = "herz-config.yaml"

// Config says which file is read and how it is followed. The zero value works: herz-config.yaml in the working folder. No field changes afterwards.
type Config struct {
	// Path is the file. Empty: DefaultPath. Symbolic links on the way to it are followed anew at each reading.
	Path string
	// Env looks up the variables of ${NAME}. Nil: os.LookupEnv.
	Env func(name string) (string, bool)
	// Drivers are names of drivers beyond those of Herz's adapters that the program has registered with herzsql. Nil: none.
	Drivers []string
	// Logger is told, at INFO, of each change that was put in force, and at WARN of each version of the file that was not, and why. The databases of Open get it
	// too, as by herzsql.WithLogger. Nil: slog.Default, as it is when the file is first read.
	Logger *slog.Logger
	// OnReload is told of each new version of the file that says something else, and of what became of it, after that. It runs on the goroutine that reads
	// the file,
	// so that the next version waits for it, and must call neither Close nor Reload. Nil: nobody is told.
	OnReload func(Reload)
	// Settle is how long the file must have been left alone before it is read, so that it is not read half written; a file that does not come to rest is read
	// after ten times that. 0: 100 ms.
	Settle time.Duration
	// Poll is how often the file is read without a sign that it has changed, for file systems that do not tell. 0: 30 s. Negative: never.
	Poll time.Duration
	// EnableLegacyKeepAlive is told what the file says for websocket.enableLegacyKeepAlive: once at the start, and again with each version that is put
	// in force. Give
	// it the method SetEnableLegacyKeepAlive of a herzws.Switch. It must call neither Close nor Reload. Nil: nobody is told.
	EnableLegacyKeepAlive func(on bool)

	// The fields that follow are for Open only.

	// Static turns the following of the file off. False: it is followed.
	Static bool
	// Connector makes the connector of a pool without driver and dsn: tokens of a cloud, TLS of one's own. Its sockets should come
	// from a guard.Dialer with the pool's Guard. Nil: every pool has to have a driver and a dsn.
	Connector func(Pool) (driver.Connector, error)
	// Options gives further options for a pool, such as herzsql.WithObserver. Nil: none.
	Options func(Pool) []herzsql.Option
}

func (c Config) withDefaults() Config {
	if c.Path == "" {
		c.Path = DefaultPath
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Settle <= 0 {
		c.Settle = DefaultSettle
	}
	if c.Poll == 0 {
		c.Poll = DefaultPoll
	}
	return c
}

func (c Config) parser() Parser { return Parser{Env: c.Env, Drivers: c.Drivers} }

// bareError is why a file operation failed, without the path, which stands before it already.
func bareError(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
