package meter

// code writes the body of a function, with what is added to it.
//
// In a function with loops a local holds the fuel as well, since engines keep locals
// in registers. The global is written with it, and read after what may have
// changed it: calls.
type code struct {
	b []byte

	global uint32 // index of the fuel
	yield  uint32 // index of the function that is called when there is none

	cached         bool   // whether there is a local for the fuel
	fuel           uint32 // indices of locals: the fuel,
	number, result uint32 // what a bulk operation gets, and what growing returns
}

// write writes a body anew. The result is in c.b until the next call.
func (c *code) write(b *body) {
	c.b = c.b[:0]
	c.declarations(b)
	at := b.start
	for _, s := range b.sites {
		c.b = append(c.b, b.reader.data[at:s.at]...)
		at = s.at
		switch s.kind {
		case siteCharge:
			c.charge(b.regions[s.arg], s.arg == 0)
		case siteFunction:
			c.b = appendU32(c.b, s.arg)
			for b.reader.data[at] >= 0x80 {
				at++
			}
			at++
		case siteReload:
			if c.cached {
				c.op(opGlobalGet, c.global)
				c.op(opLocalSet, c.fuel)
			}
		case siteBulk:
			c.op(opLocalTee, c.number)
			c.dynamic(opI64ShrU, s.arg)
		case siteGrowBefore:
			c.op(opLocalTee, c.number)
		case siteGrowAfter:
			c.op(opLocalTee, c.result)
			c.b = append(c.b, opI32Const, 0x7f, opI32Ne, opIf, noResult) // not -1
			c.dynamic(opI64Shl, s.arg)
			c.b = append(c.b, opEnd)
			c.op(opLocalGet, c.result)
		}
	}
	c.b = append(c.b, b.reader.data[at:b.end]...)
}

// declarations adds the locals that are needed to those that there are.
func (c *code) declarations(b *body) {
	numbers := uint32(0)
	for _, s := range b.sites {
		switch s.kind {
		case siteBulk:
			numbers = max(numbers, 1)
		case siteGrowAfter:
			numbers = 2
		}
	}
	c.number = uint32(b.locals)
	c.result = c.number + 1
	c.fuel = c.number + numbers
	c.cached = b.loops

	groups := b.nGroups
	if numbers > 0 {
		groups++
	}
	if c.cached {
		groups++
	}
	c.b = appendU32(c.b, groups)
	c.b = append(c.b, b.reader.data[b.groups.start:b.groups.end]...)
	if numbers > 0 {
		c.b = append(c.b, byte(numbers), byte(I32))
	}
	if c.cached {
		c.b = append(c.b, 1, byte(I64))
	}
}

// op appends an instruction with an index.
func (c *code) op(op byte, index uint32) {
	c.b = appendU32(append(c.b, op), index)
}

// load pushes the fuel.
func (c *code) load() {
	if c.cached {
		c.op(opLocalGet, c.fuel)
	} else {
		c.op(opGlobalGet, c.global)
	}
}

// store pops the fuel.
func (c *code) store() {
	if c.cached {
		c.op(opLocalTee, c.fuel)
	}
	c.op(opGlobalSet, c.global)
}

func (c *code) charge(r region, entry bool) {
	if r.cost == 0 {
		return
	}
	if entry {
		c.op(opGlobalGet, c.global)
	} else {
		c.load()
	}
	c.b = append(appendS64(append(c.b, opI64Const), r.cost), opI64Sub)
	c.store()
	switch r.check {
	case checked:
		c.check()
	case checkedAgain:
		c.checkAgain(r.cost)
	}
}

// check calls yield when the fuel is below zero.
//
// That stands in the second arm: wazero's compiler then takes the state of its
// registers after the if from the first, usual way, on which all is in
// registers, and not from the one with the call, after which all is in memory.
func (c *code) check() {
	c.enough()
	c.refill()
	c.store()
	c.b = append(c.b, opEnd)
}

// checkAgain is check at the head of a loop: after yield it goes back to the
// head, where the cost is charged a second time and hence given back before. The
// usual way then has no point at which ways meet, which is cheaper still.
func (c *code) checkAgain(cost int64) {
	c.enough()
	c.refill()
	c.b = append(appendS64(append(c.b, opI64Const), cost), opI64Add)
	c.store()
	c.b = append(c.b, opBr, 1, opEnd)
}

// enough begins an if; what follows it is done when there is not enough fuel.
func (c *code) enough() {
	c.load()
	c.b = append(c.b, opI64Const, 0, opI64GeS, opIf, noResult, opElse)
}

// refill pushes what yield returns.
func (c *code) refill() {
	c.load()
	c.op(opCall, c.yield)
}

// dynamic charges for the number in its local, shifted.
func (c *code) dynamic(shift byte, by uint32) {
	c.load()
	c.op(opLocalGet, c.number)
	c.b = append(c.b, opI64ExtendU)
	if by > 0 {
		c.b = append(c.b, opI64Const, byte(by), shift)
	}
	c.b = append(c.b, opI64Sub)
	c.store()
	c.check()
}
