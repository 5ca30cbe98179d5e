package limits

import (
	"testing"

	"github.com/protoo-go/protoo/core/coretest"
)

func TestMain(m *testing.M) { coretest.Main(m) }
