package meter

import "slices"

// code writes the body of a function, with what is added to it.
//
// The global is written with every charge. In a function with checks a local gets the fuel as well, which a check
// looks at. Where there is a loop without calls, all that is charged is taken from that local, since engines keep locals in
// registers; it is read again after what may have changed the fuel: calls.
//
// How that is written down is for wazero's compiler. It puts what is alive across a call, of yield as well, on the stack: where
// it is computed, or, if it is what a loop carries from one iteration to the next, each time. And where ways
// meet, it has in registers what the way that it has seen first has there.
type code struct {
	b []byte

	global uint32 // index of the fuel
	yield  uint32 // index of the function that is called when there is none

	local          bool   // whether there is a local for the fuel
	cached         bool   // whether charges are taken from it
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
		case siteEnter:
			c.enter(b.regions[s.arg])
		case siteCharge:
			c.charge(b.regions[s.arg])
		case siteLoop:
			l := b.loops[s.arg]
			c.loop(l, b.regions[l.head].cost, b.reader.data[at+1:l.body])
		case siteLoopBody:
			l := b.loops[s.arg]
			c.loopBody(l, b.regions[l.head].cost)
		case siteLoopEnd:
			l := b.loops[s.arg]
			c.loopEnd(l, b.regions[l.head].cost)
		case siteFunction, siteLabel:
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
	c.local = b.regions[0].check == checked
	c.cached = slices.ContainsFunc(b.loops, func(l cycle) bool { return !l.calls })

	groups := b.nGroups
	if numbers > 0 {
		groups++
	}
	if c.local {
		groups++
	}
	c.b = appendU32(c.b, groups)
	c.b = append(c.b, b.reader.data[b.groups.start:b.groups.end]...)
	if numbers > 0 {
		c.b = append(c.b, byte(numbers), byte(I32))
	}
	if c.local {
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

// loadStored pushes the fuel, right after it was stored.
func (c *code) loadStored() {
	if c.local {
		c.op(opLocalGet, c.fuel)
	} else {
		c.op(opGlobalGet, c.global)
	}
}

// store pops the fuel.
func (c *code) store() {
	if c.local {
		c.op(opLocalTee, c.fuel)
	}
	c.op(opGlobalSet, c.global)
}

// take charges, without a check.
func (c *code) take(cost int64) {
	c.load()
	c.takeFrom(cost)
}

// takeFrom charges when the fuel has been pushed.
func (c *code) takeFrom(cost int64) {
	c.b = append(appendS64(append(c.b, opI64Const), cost), opI64Sub)
	c.store()
}

// enter charges for the region that a function begins with. The check is a loop, for it can go back then.
func (c *code) enter(r region) {
	if r.cost == 0 {
		return
	}
	c.op(opGlobalGet, c.global)
	c.takeFrom(r.cost)
	if r.check == checked {
		c.b = append(c.b, opLoop, noResult)
		c.checkAgain(0)
		c.b = append(c.b, opEnd)
	}
}

func (c *code) charge(r region) {
	if r.cost == 0 {
		return
	}
	c.take(r.cost)
	if r.check == checked {
		c.check()
	}
}

// loop begins a loop. There are two ways to check for fuel in it. Both need three frames more, so that labels become
// others in the same way.
//
// In a loop that calls, all that it carries is on the stack anyway:
//
//	block block block
//	  loop
//	    charge
//	    not enough? yield, give the charge back, go to this loop
//	    ...
//	  end
//	end end end
//
// In one that does not call, nothing has to be, if what the inner loop carries and what is alive across yield are
// not the same variables for the compiler:
//
//	charge
//	block
//	  loop
//	    not enough? yield, go to this loop
//	    loop
//	      block
//	        ...
//	        go out
//	      end
//	      charge
//	      enough? go to this loop
//	    end
//	    go to this loop
//	  end
//	end
//
// What was a branch to the head of the loop leads to the end of the innermost block. In both, a charge and its check come
// before each iteration.
func (c *code) loop(l cycle, cost int64, blockType []byte) {
	n := 3
	if !l.calls {
		c.take(cost)
		n = 1
	}
	for range n {
		c.b = append(append(c.b, opBlock), blockType...)
	}
}

func (c *code) loopBody(l cycle, cost int64) {
	if l.calls {
		c.take(cost)
		c.checkAgain(cost)
		return
	}
	c.checkAgain(0)
	c.b = append(c.b, opLoop, noResult, opBlock, noResult)
}

func (c *code) loopEnd(l cycle, cost int64) {
	if l.calls {
		c.b = append(c.b, opEnd, opEnd, opEnd)
		return
	}
	c.b = append(c.b, opBr, 3, opEnd)
	c.take(cost)
	c.enough()
	// Not with br_if: the compiler forgets what is compared there when it splits an edge.
	c.b = append(c.b, opBr, 1, opEnd, opEnd, opBr, 0, opEnd)
}

// check calls yield when the fuel is below zero.
//
// That stands in the second arm: wazero's compiler then takes the state of its
// registers after the if from the first, usual way, on which all is in
// registers, and not from the one with the call, after which all is in memory.
func (c *code) check() {
	c.enough()
	c.b = append(c.b, opElse)
	c.refill()
	c.store()
	c.b = append(c.b, opEnd)
}

// checkAgain is check where a loop begins: it goes back there after yield. The
// usual way then has no point at which ways meet, which is cheaper still. A refund is for what is charged a second time.
func (c *code) checkAgain(refund int64) {
	c.enough()
	c.b = append(c.b, opElse)
	c.refill()
	if refund > 0 {
		c.b = append(appendS64(append(c.b, opI64Const), refund), opI64Add)
	}
	c.store()
	c.b = append(c.b, opBr, 1, opEnd)
}

// enough begins an if; what follows it is done when there is enough fuel.
func (c *code) enough() {
	c.loadStored()
	c.b = append(c.b, opI64Const, 0, opI64GeS, opIf, noResult)
}

// refill pushes what yield returns.
func (c *code) refill() {
	c.loadStored()
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
