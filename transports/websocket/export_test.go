package websocket

// Expire makes every message that is incomplete now look as old as one may get, and has the keeper visit all
// connections.
func (s *Server) Expire() {
	k := s.plain.keeper
	now := k.turn.Add(k.patience + 1)
	for _, c := range k.all() {
		c.check(now)
	}
}

// Inside tells what the gate has counted: connections, handshakes and addresses.
func (s *Server) Inside() (connections, handshakes, addresses int) {
	s.gate.mu.Lock()
	defer s.gate.mu.Unlock()
	return s.gate.inside, s.gate.asking, len(s.gate.guests)
}
