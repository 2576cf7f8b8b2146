module herz.example/herz/conformance

go 1.26.0

require (
	go.mongodb.org/mongo-driver v1.17.6
	go.uber.org/goleak v1.3.0
	herz.example/herz v0.0.0
)

require golang.org/x/sys v0.49.0 // indirect
