module herz.example/herz/herzmysql

go 1.26.0

require (
	github.com/go-sql-driver/mysql v1.10.0
	go.uber.org/goleak v1.3.0
	herz.example/herz v0.0.0
)

require (
	filippo.io/edwards25519 v1.2.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)
