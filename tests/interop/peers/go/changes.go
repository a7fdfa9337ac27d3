package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
)

const (
	newsProtocol  = "/interop/news/1.0.0"
	leaveProtocol = "/interop/leave/1.0.0"
	laterProtocol = "interop-later"
	changeTime    = 10 * time.Second
)

func serveChanges(h host.Host) {
	h.SetStreamHandler(newsProtocol, func(s network.Stream) {
		h.SetStreamHandler(laterProtocol, serveEcho)
		s.Write([]byte{0})
		s.Close()
	})
	h.SetStreamHandler(leaveProtocol, func(s network.Stream) {
		io.ReadFull(s, make([]byte, 1))
		s.Conn().Close()
	})
}

func becomesTrue(look func() bool) bool {
	for end := time.Now().Add(changeTime); !look() && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
	}
	return look()
}

func (d *dialler) news() error {
	s, err := d.open(newsProtocol)
	if err != nil {
		return err
	}
	one := make([]byte, 1)
	if _, err = io.ReadFull(s, one); err != nil {
		return err
	}
	s.Close()
	d.out["push_seen"] = becomesTrue(func() bool {
		known, err := d.h.Peerstore().SupportsProtocols(d.target.ID, protocol.ID(laterProtocol))
		return err == nil && len(known) > 0
	})
	ctx, cancel := context.WithTimeout(context.Background(), changeTime)
	defer cancel()
	if s, err = d.h.NewStream(ctx, d.target.ID, laterProtocol); err != nil {
		return fmt.Errorf("%s: %w", laterProtocol, err)
	}
	if _, err = s.Write(one); err != nil {
		return err
	}
	if _, err = io.ReadFull(s, one); err != nil {
		return err
	}
	s.Close()
	d.out["slashless_ok"] = true
	return nil
}

func (d *dialler) leave() error {
	s, err := d.open(leaveProtocol)
	if err != nil {
		return err
	}
	if _, err = s.Write([]byte{0}); err != nil {
		return err
	}
	d.out["leave_seen"] = becomesTrue(func() bool {
		return d.h.Network().Connectedness(d.target.ID) != network.Connected
	})
	return nil
}
