package websocket

// Visit has the keeper visit all connections.
func (s *Server) Visit() {
	k := s.plain.keeper
	for _, c := range k.All() {
		c.check(k.Now())
	}
}

// Expire makes every message that is incomplete now look as old as one may get, and has the keeper visit all
// connections.
func (s *Server) Expire() {
	k := s.plain.keeper
	for _, c := range k.All() {
		c.mu.Lock()
		if c.partial.Load() != 0 {
			c.partial.Store(k.Now() - k.Patience - 1)
		}
		c.mu.Unlock()
	}
	s.Visit()
}

// Inside tells what the gate has counted: connections, handshakes and addresses.
func (s *Server) Inside() (connections, handshakes, addresses int) {
	s.gate.mu.Lock()
	defer s.gate.mu.Unlock()
	return s.gate.inside, s.gate.asking, len(s.gate.guests)
}

// Paused counts the connections that are not read.
func (s *Server) Paused() int {
	n := 0
	for _, c := range s.plain.keeper.All() {
		c.mu.Lock()
		if c.paused {
			n++
		}
		c.mu.Unlock()
	}
	return n
}
