package simulate

import "testing"

func BenchmarkSeed(b *testing.B) {
	r, err := NewRunner()
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	steps, seed := 0, uint64(0)
	for b.Loop() {
		o, err := r.Run(seed, nil)
		if err != nil || o.Broken != nil {
			b.Fatal(seed, err, o.Broken)
		}
		steps += o.Steps
		seed++
	}
	b.ReportMetric(float64(steps)/float64(b.N), "steps/seed")
}
