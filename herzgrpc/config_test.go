package herzgrpc_test

import (
	"strings"
	"testing"
	"time"

	"herz.example/herz/guard"
	"herz.example/herz/herzgrpc"
)

func TestConfigThatCannotWorkIsRefusedInWords(t *testing.T) {
	for want, cfg := range map[string]herzgrpc.Config{
		"ServerMinTime":                {ServerMinTime: -1},
		"ConnectTimeout":               {ConnectTimeout: -1},
		"RetryWait":                    {RetryWait: -1},
		"MaxBackoff 1ms":               {MaxBackoff: time.Millisecond},
		"MaxConnectionAge 1ms":         {MaxConnectionAge: time.Millisecond},
		"Retries 11":                   {Retries: 11},
		"MaxMethods":                   {MaxMethods: -1},
		"HeartbeatTimeout":             {Guard: guard.Options{HeartbeatTimeout: time.Second}},
		"Multiplexed passes errors on": {Guard: guard.SQL},
	} {
		if c, err := herzgrpc.New(cfg); err == nil || c != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	for _, cfg := range []herzgrpc.ServerConfig{{MinTime: -1}, {KeepAliveTimeout: -1}, {MaxConnectionAgeGrace: -1}, {ConnectTimeout: -1}} {
		if s, err := herzgrpc.NewServer(cfg); err == nil || s != nil {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}
