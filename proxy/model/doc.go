// Package model turns Services and EndpointSlices into the plain facts that a
// proxy needs: which addresses and ports stand for which backends. It is pure:
// no client, no clock, no kernel.
//
//	Service ─────────┐
//	                 ├─► Tracker ─► Port (one per Service port and IP family)
//	EndpointSlices ──┘
//
// A Tracker takes objects one by one, in any order, and rebuilds only the ports
// of the Services that changed. A *Port is never changed once it was handed out:
// who keeps the pointer can tell by comparing it whether anything is different.
//
// Traps: a Service may be dual stack, so each family has its own Tracker; an
// address may stand in two slices at once while an endpoint moves between them;
// slices may arrive before their Service.
package model
