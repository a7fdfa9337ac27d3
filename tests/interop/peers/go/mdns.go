package main

import (
	"fmt"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
)

type notifee struct{}

func (notifee) HandlePeerFound(found peer.AddrInfo) {
	for _, address := range found.Addrs {
		fmt.Printf("FOUND %s/p2p/%s\n", address, found.ID)
	}
}

// Says FOUND and an address for each peer of the local network.
func startMdns(h host.Host) error {
	return mdns.NewMdnsService(h, "", notifee{}).Start()
}
