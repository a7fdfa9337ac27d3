package main

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/host/autonat"
	"github.com/libp2p/go-libp2p/p2p/protocol/autonatv2"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	elsewhere     = "/ip4/5.6.7.77" // a machine that is not there: asking about it must be paid for
	protocolsWait = 5 * time.Second          // for AutoNAT v2 to learn what the peer speaks
)

func startAutonatV2(h host.Host) (*autonatv2.AutoNAT, error) {
	dialer, err := libp2p.New(libp2p.NoListenAddrs, libp2p.DisableMetrics(), libp2p.DisableRelay())
	if err != nil {
		return nil, err
	}
	an, err := autonatv2.New(dialer)
	if err != nil {
		return nil, err
	}
	return an, an.Start(h)
}

// What one request about this address says. An AutoNAT asks a peer once in two minutes, and knows those that came after it.
func (d *dialler) askAutonatV2(address ma.Multiaddr) string {
	an, err := startAutonatV2(d.h)
	if err != nil {
		return err.Error()
	}
	defer an.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	d.h.Network().ClosePeer(d.target.ID)
	if err := d.h.Connect(ctx, d.target); err != nil {
		return err.Error()
	}
	for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		result, err := an.GetReachability(ctx, []autonatv2.Request{{Addr: address, SendDialData: true}})
		if err == autonatv2.ErrNoPeers && time.Since(begin) < protocolsWait {
			continue
		}
		if err != nil {
			return err.Error()
		}
		switch result.Reachability {
		case network.ReachabilityPublic:
			return "reachable"
		case network.ReachabilityPrivate:
			return "unreachable"
		}
		return "unknown"
	}
}

func (d *dialler) autonat() error {
	own := d.h.Addrs()[0]
	ip, _ := ma.SplitFirst(own)
	closedPort, otherPort := "/tcp/1", "/tcp/4001"
	if _, err := own.ValueForProtocol(ma.P_QUIC_V1); err == nil {
		closedPort, otherPort = "/udp/1/quic-v1", "/udp/4001/quic-v1"
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	d.out["autonat_v1"] = "reachable"
	if err := autonat.NewAutoNATClient(d.h, nil, nil).DialBack(ctx, d.target.ID); err != nil {
		d.out["autonat_v1"] = err.Error()
	}
	d.out["autonat_v2"] = d.askAutonatV2(own)
	closed, err := ma.NewMultiaddr(ip.String() + closedPort)
	if err != nil {
		return err
	}
	d.out["autonat_v2_closed"] = d.askAutonatV2(closed)
	d.out["autonat_v2_elsewhere"] = d.askAutonatV2(ma.StringCast(elsewhere + otherPort))
	return nil
}
