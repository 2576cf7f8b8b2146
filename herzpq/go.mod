module herz.example/herz/herzpq

go 1.26.0

require (
	github.com/lib/pq v1.12.3
	go.uber.org/goleak v1.3.0
	herz.example/herz v0.0.0
)

require golang.org/x/sys v0.49.0 // indirect
