package meter

// A tableType is what a module declares of one.
type tableType struct {
	elem   ValueType
	extent Extent
}

// elementsAtFirst is the sum of what the tables begin with.
func (p *parser) elementsAtFirst() uint64 {
	var sum uint64
	for _, e := range p.info.Tables {
		sum += uint64(e.Min)
	}
	return sum
}

// ownTables returns the tables that are not imported, each with a maximum: an engine gives table.grow what it asks for, up to
// 2^32 elements, which take 8 bytes each of the host's memory. What the limit leaves is shared evenly.
func (p *parser) ownTables() []tableType {
	own := make([]tableType, 0, len(p.tableOf))
	for i := p.imported.tables; i < len(p.tableOf); i++ {
		own = append(own, tableType{p.tableOf[i], p.info.Tables[i]})
	}
	for i := range own {
		e := &own[i].extent
		most := e.Min + uint32((uint64(p.limits.TableElements)-p.elementsAtFirst())/uint64(len(own)))
		if !e.HasMax || e.Max > most {
			e.Max, e.HasMax = most, true
		}
	}
	return own
}

// tableSection returns the content of the table section.
func tableSection(all []tableType) []byte {
	b := appendU32(nil, uint32(len(all)))
	for _, t := range all {
		b = append(b, byte(t.elem), 1)
		b = appendU32(appendU32(b, t.extent.Min), t.extent.Max)
	}
	return b
}
