module herz.example/herz/herzws

go 1.26.0

require (
	github.com/gobwas/ws v1.5.0
	golang.org/x/sys v0.49.0
	herz.example/herz v0.0.0
)

require (
	github.com/gobwas/httphead v0.1.0 // indirect
	go.uber.org/goleak v1.3.0
)
