package main

func Example() {
	main()
	// Output:
	// alice asks for enter /rooms/kitchen: 200 welcome
	// bob asks for enter /rooms/kitchen: 486 the room is full
	// route error: 404 no such room
	// bob asks for enter /rooms/cellar: 404 no such room
	// bob asks for find /rooms/kitchen/people/alice: 200 found in the kitchen
	// bob asks for find /rooms/garden/people/alice: 404 alice is not in the garden
	// bob asks for find /rooms/garden/people/me: 200 you should know
	// alice asks for leave /rooms/kitchen: 200 goodbye
	// bob asks for enter /rooms/kitchen: 200 welcome
	// bob asks for paint /rooms/kitchen/walls/north: 404 no handler for paint at /rooms/kitchen/walls/north
	// route error: panic: the paint is all over the floor
	// bob asks for paint /rooms/kitchen/walls/1: 500 internal error
	// route error: 403 for administrators
	// bob asks for stats /admin/peers: 403 for administrators
	// alice asks for stats /admin/peers: 200 2 peers
}
