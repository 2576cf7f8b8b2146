module herz.example/herz/web

go 1.26.0
