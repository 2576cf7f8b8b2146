package herzgrpc

// Names is how many methods a server knows by name.
func (s *Server) Names() int {
	n := 0
	s.running.Range(func(any, any) bool {
		n++
		return true
	})
	return n
}
