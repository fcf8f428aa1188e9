package timens

// StartTicks is when the process was started, as in Task: together with the PID it names
// the process, until the machine stops.
func (p *Process) StartTicks() (uint64, error) { return p.startTicks() }
