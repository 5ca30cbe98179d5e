package main

func Example() {
	main()
	// Output:
	// server: message sent to 2 peers
	// bob's phone shows alice: Hi Bob!
	// bob's laptop shows alice: Hi Bob!
	// bob's laptop shows alice: Are you at your desk?
	// bob's laptop: seen on the laptop
	// server: 404 peer not found
}
