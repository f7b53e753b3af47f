package actors

import "slices"

// roomOf is the room that a device has from the start.
func (e *Engine) roomOf(device int) *room {
	all := e.rooms.all()
	return all[slices.IndexFunc(all, func(r *room) bool { return r != nil && r.device == device })]
}

// seatStage spawns a stage of a room, with its router, in its place.
func (k *keeper) seatStage(r *room, p Part, now uint64) error {
	e, i := k.engine, p.Index
	router := &routerActor{probs: e.plan.Probs, experts: k.experts, look: k.options.Look}
	if e.count != nil {
		router.count = e.count[i]
	}
	routerPID, err := k.respawn(Part{Kind: RouterPart, Index: i}, now, router, r.lane)
	if err != nil {
		return err
	}
	st := &stageActor{seat: e.seats[i], stage: r.stages[i], router: routerPID}
	pid, err := k.respawn(p, now, st, r.lane)
	if err != nil {
		return err
	}
	k.takers[i], k.routers[i], k.rooms[p] = st, router, r
	st.device.Store(int32(r.device))
	st.alone = k.alone(st.seat)
	k.follow(i, pid)
	return nil
}

// seatExpert spawns an expert of a room in its place.
func (k *keeper) seatExpert(r *room, p Part, now uint64) error {
	k.rooms[p], k.homes[p.Index][p.Expert] = r, r.device
	pid, err := k.respawn(p, now, k.expert(p.Index, p.Expert), r.lane)
	if err != nil {
		return err
	}
	k.send(p, pid)
	return nil
}
