// Package pods runs the pods of this node.
//
// # Model
//
// Compute is a pure function: what the pod's spec wants, what the engine holds and
// what is under way, give a Plan (containers to start, to kill, to remove; a
// sandbox to create). A worker per pod carries it out. Whatever takes time is a
// task in a goroutine of its own; while it runs its container is "busy" and
// the plan leaves it alone. So a worker never waits, and a deletion, a
// shorter grace period or a container that dies are acted on at once, whatever
// else is going on. Between changes a worker is a parked goroutine with a timer.
//
//	API, engine events, probes, timers
//	        │ wake
//	     worker: refresh ─► Compute ─► tasks (setup, start, kill, cleanup) ─► wake
//	        └──► status.Compute ─► status writer
//
// # Life of a pod
//
//	admitted ─► volumes, sandbox, network ─► init containers ─► containers
//	   │                                                            │ deleted, deadline, all ended
//	   └─ rejected                  stopping: containers ─► sidecars ─► sandbox ─► cleanup ─► removed
//
// # Traps
//
// Nothing is remembered across a restart of the agent but what is in the engine
// and in the API: the number of restarts is the attempt of the newest container.
// A pod whose phase in the API is Succeeded or Failed is never started again and
// its status never recomputed.
package pods
