module herz.example/herz/herzconfig

go 1.26.0

require (
	github.com/fsnotify/fsnotify v1.10.1
	go.uber.org/goleak v1.3.0
	go.yaml.in/yaml/v4 v4.0.0
	herz.example/herz v0.0.0
)

require golang.org/x/sys v0.49.0 // indirect
