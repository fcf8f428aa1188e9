//go:build !amd64

package guest

// tscFrequency is for processors of this machine's architecture.
func tscFrequency() string { return "" }
