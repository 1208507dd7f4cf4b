package export_tidegate_connect_transform

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// The memory rule of Go guests: automatic collection relies on a scheduler that runs between calls, and in a component
// it does not, so a started cycle may never end. Collection is therefore off, and a call collects completely at its
// start when the heap has doubled. The memory limit is the net below that, for one call that allocates a lot.
const (
	collectAbove = 16 << 20
	memoryLimit  = 192 << 20 // three quarters of sandbox.memory.max.bytes
)

var (
	heap = []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	next = uint64(collectAbove)
)

func init() {
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(memoryLimit)
}

func collect() {
	metrics.Read(heap)
	if heap[0].Value.Uint64() <= next {
		return
	}
	runtime.GC()
	metrics.Read(heap)
	next = heap[0].Value.Uint64()*2 + collectAbove
}
