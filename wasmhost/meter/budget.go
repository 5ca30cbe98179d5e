package meter

// DefaultSlice is the fuel between two yields when [Budget.Slice] is zero.
const DefaultSlice = 100_000

// Budget is the host's side of the metering: what one call may use, given out in
// slices. It belongs to one call at a time.
type Budget struct {
	Total int64 // units that the call may use
	Slice int64 // units between two yields, DefaultSlice if 0

	granted int64
}

// Start begins a call. Its result is what the fuel global has to be set to.
func (b *Budget) Start() int64 {
	b.granted = min(b.Total, b.slice())
	return b.granted
}

// Refill answers a yield: fuel is the function's parameter, the first result
// what it has to return. If the second one is false the budget is spent, and
// the host function has to panic so that the call ends.
//
// Whether it is spent does not depend on Slice.
func (b *Budget) Refill(fuel int64) (int64, bool) {
	left := b.Total - b.granted
	if fuel+left < 0 {
		return fuel, false
	}
	grant := max(0, min(left, b.slice()-fuel))
	b.granted += grant
	return fuel + grant, true
}

// Used is what has been charged since Start, when the fuel global is fuel. It
// may exceed Total by what was charged before the check that noticed.
func (b *Budget) Used(fuel int64) int64 { return b.granted - fuel }

func (b *Budget) slice() int64 {
	if b.Slice <= 0 {
		return DefaultSlice
	}
	return b.Slice
}
