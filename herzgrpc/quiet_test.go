package herzgrpc_test

import (
	"log/slog"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func plain() grpc.DialOption { return grpc.WithTransportCredentials(insecure.NewCredentials()) }
