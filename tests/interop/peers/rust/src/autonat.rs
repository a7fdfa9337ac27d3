//! AutoNAT v1 and v2: serving both, and asking a peer whether this node is reached.
use std::{net::Ipv4Addr, time::Duration};

use libp2p::{
    autonat::{v1, v2},
    multiaddr::Protocol,
    swarm::SwarmEvent,
    Multiaddr, PeerId,
};
use serde_json::{Map, Value};

use crate::{
    node::{patiently, BehaviourEvent, Event, Node},
    Failure,
};

const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(5, 6, 7, 77); // a machine that is not there: asking about it must be paid for
const SOON: Duration = Duration::from_secs(1);

/// Serves, and asks the servers that it is told of.
pub fn make_v1(id: PeerId) -> v1::Behaviour {
    let config = v1::Config {
        use_connected: false,
        boot_delay: SOON,
        retry_interval: SOON,
        throttle_server_period: SOON,
        ..v1::Config::default()
    };
    v1::Behaviour::new(id, config)
}

async fn ask_v1(node: &Node, peer: PeerId, target: Multiaddr) -> Result<String, Failure> {
    use v1::{Event as Asked, OutboundProbeError, OutboundProbeEvent, ResponseError};
    let answer = node.watch(|event: &Event| {
        let SwarmEvent::Behaviour(BehaviourEvent::AutonatV1(Asked::OutboundProbe(probe))) = event else { return None };
        match probe {
            OutboundProbeEvent::Response { .. } => Some("reachable".to_string()),
            OutboundProbeEvent::Error { error: OutboundProbeError::Response(ResponseError::DialError), .. } => {
                Some("unreachable".to_string())
            }
            OutboundProbeEvent::Error { error: OutboundProbeError::NoServer, .. } => None, // it was not told yet
            OutboundProbeEvent::Error { error, .. } => Some(format!("{error:?}")),
            OutboundProbeEvent::Request { .. } => None,
        }
    });
    node.call(move |swarm| {
        if let Some(asking) = swarm.behaviour_mut().autonat_v1.as_mut() {
            asking.add_server(peer, Some(target));
        }
    })
    .await?;
    Ok(patiently("AutoNAT v1", answer).await??)
}

/// What the peer says of these addresses, which the library asks about within seconds.
async fn ask_v2(node: &Node, wanted: &[Multiaddr]) -> Result<Vec<String>, Failure> {
    let mut answers = vec![];
    for address in wanted.iter().cloned() {
        answers.push(node.watch(move |event: &Event| match event {
            SwarmEvent::Behaviour(BehaviourEvent::AutonatClient(v2::client::Event { tested_addr, result, .. }))
                if *tested_addr == address =>
            {
                // The library does not tell apart why the peer did not get through.
                Some(if result.is_ok() { "reachable" } else { "unreachable" })
            }
            _ => None,
        }));
    }
    let suggested = wanted.to_vec();
    node.call(move |swarm| suggested.into_iter().for_each(|address| swarm.behaviour_mut().streams.suggest_address(address)))
        .await?;
    let mut said = vec![];
    for answer in answers {
        said.push(patiently("AutoNAT v2", answer).await??.to_string());
    }
    Ok(said)
}

/// The address at another place.
fn moved(address: &Multiaddr, ip: Ipv4Addr, port: u16) -> Multiaddr {
    let parts = address.iter().map(|part| match part {
        Protocol::Ip4(_) => Protocol::Ip4(ip),
        Protocol::Tcp(_) => Protocol::Tcp(port),
        Protocol::Udp(_) => Protocol::Udp(port),
        other => other,
    });
    parts.collect()
}

/// Asks the connected peer about an address of ours, a port where nobody listens, and an IP where nobody is.
pub async fn ask(node: &Node, peer: PeerId, target: &Multiaddr, out: &mut Map<String, Value>) -> Result<(), Failure> {
    let own = node.call(|swarm| swarm.listeners().next().cloned()).await?.ok_or("it does not listen")?;
    let Some(Protocol::Ip4(ip)) = own.iter().next() else { return Err(format!("{own} is not of IPv4").into()) };
    let wanted = [own.clone(), moved(&own, ip, 1), moved(&own, ELSEWHERE, 4001)];
    out.insert("autonat_v1".into(), ask_v1(node, peer, target.clone()).await?.into());
    let said = ask_v2(node, &wanted).await?;
    for (name, answer) in ["autonat_v2", "autonat_v2_closed", "autonat_v2_elsewhere"].into_iter().zip(said) {
        out.insert(name.into(), answer.into());
    }
    Ok(())
}
