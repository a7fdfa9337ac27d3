//! Circuit relay v2: being a relay, being reached through one, what is known of a circuit's limits; and hole punching.
use std::time::Duration;

use libp2p::{
    multiaddr::Protocol,
    relay::{client, Behaviour, Config},
    swarm::SwarmEvent,
    Multiaddr, PeerId,
};
use tokio::sync::oneshot;

use crate::{
    flags::Flags,
    node::{patiently, BehaviourEvent, Event, Node},
    Failure,
};

const DIRECT_WAIT: Duration = Duration::from_secs(30);

pub fn is_using(flags: &Flags) -> bool {
    flags.has("reserve") || flags.has("punch") || flags.text("dial").is_some_and(|address| address.contains("/p2p-circuit"))
}

/// The library knows no circuits without limits: `unlimited` ones end after a day.
pub fn make_relay(id: PeerId, limits: &str) -> Behaviour {
    let mut config = Config { reservation_rate_limiters: vec![], circuit_src_rate_limiters: vec![], ..Config::default() };
    if limits == "unlimited" {
        config.max_circuit_bytes = 0;
        config.max_circuit_duration = Duration::from_secs(86_400);
    }
    Behaviour::new(id, config)
}

/// Whether the next circuit has limits.
pub fn watch_limits(node: &Node) -> oneshot::Receiver<bool> {
    node.watch(|event: &Event| match event {
        SwarmEvent::Behaviour(BehaviourEvent::Circuits(client::Event::OutboundCircuitEstablished { limit, .. })) => {
            Some(limit.is_some())
        }
        _ => None,
    })
}

/// Once the connection is there; one that is no circuit has none.
pub fn is_limited(mut limits: oneshot::Receiver<bool>) -> bool {
    limits.try_recv().unwrap_or(false)
}

/// The next address that a peer sees this node at: the library punches no holes without one.
pub fn watch_observed(node: &Node) -> oneshot::Receiver<()> {
    node.watch(|event: &Event| matches!(event, SwarmEvent::NewExternalAddrCandidate { .. }).then_some(()))
}

/// Connects to the relay on the way to `circuit`, and waits until that has told how it sees this node.
pub async fn meet(node: &Node, circuit: &Multiaddr) -> Result<(), Failure> {
    let observed = watch_observed(node);
    let relay: Multiaddr = circuit.iter().take_while(|part| *part != Protocol::P2pCircuit).collect();
    node.call(move |swarm| swarm.dial(relay)).await??;
    Ok(patiently("an observed address", observed).await??)
}

/// Where a connection to the peer without a relay leads; empty where there is none in time.
pub async fn wait_for_direct(direct: oneshot::Receiver<String>) -> String {
    tokio::time::timeout(DIRECT_WAIT, direct).await.ok().and_then(Result::ok).unwrap_or_default()
}

pub fn watch_direct(node: &Node, peer: PeerId) -> oneshot::Receiver<String> {
    node.watch(move |event: &Event| match event {
        SwarmEvent::ConnectionEstablished { peer_id, endpoint, .. } if *peer_id == peer && !endpoint.is_relayed() => {
            Some(endpoint.get_remote_address().to_string())
        }
        _ => None,
    })
}

/// Has this node reached through the relay at that address; the address to reach it at.
pub async fn reserve(node: &Node, relay: &str) -> Result<Multiaddr, Failure> {
    let address = relay.parse::<Multiaddr>()?.with(Protocol::P2pCircuit);
    let outcome = node.watch(|event: &Event| match event {
        SwarmEvent::Behaviour(BehaviourEvent::Circuits(client::Event::ReservationReqAccepted { .. })) => Some(Ok(())),
        SwarmEvent::ListenerClosed { reason: Err(error), .. } => Some(Err(error.to_string())),
        _ => None,
    });
    let listened = address.clone();
    node.call(move |swarm| swarm.listen_on(listened)).await??;
    patiently("reserving", outcome).await???;
    Ok(address)
}
