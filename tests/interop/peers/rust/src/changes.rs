//! A protocol that comes later, told by identify push, and a peer that leaves; see ../../README.md.
use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::{identify, swarm::SwarmEvent, Stream, StreamProtocol};
use serde_json::{Map, Value};

use crate::{
    dialler::{Connected, Dialler},
    node::{patiently, BehaviourEvent, Event, Node},
    streams::Served,
    Failure,
};

pub const NEWS: StreamProtocol = StreamProtocol::new("/interop/news/1.0.0");
pub const LEAVE: StreamProtocol = StreamProtocol::new("/interop/leave/1.0.0");
pub const LATER: StreamProtocol = StreamProtocol::new("/interop/later/1.0.0"); // without a slash it is none here

/// Says a byte once it serves LATER, too.
pub async fn serve_news(served: Served, mut stream: Stream) {
    served.lock().unwrap().push(LATER);
    if stream.write_all(&[0]).await.is_ok() {
        let _ = stream.close().await;
    }
}

pub async fn serve_leave(node: Node, mut stream: Stream) {
    let mut one = [0u8; 1];
    let _ = stream.read(&mut one).await;
    let leaving = node.call(|swarm| {
        for peer in swarm.connected_peers().copied().collect::<Vec<_>>() {
            let _ = swarm.disconnect_peer_id(peer); // it may have gone by itself
        }
    });
    let _ = leaving.await;
}

async fn see_news(dialler: &Dialler) -> Result<(), Failure> {
    let peer = dialler.peer;
    let told = dialler.node.watch(move |event: &Event| match event {
        SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }))
            if *peer_id == peer && info.protocols.contains(&LATER) =>
        {
            Some(())
        }
        _ => None,
    });
    let mut one = [0u8; 1];
    let mut asking = dialler.node.open(peer, NEWS).await?;
    asking.read_exact(&mut one).await?;
    patiently("identify push", told).await??;
    let mut later = dialler.node.open(peer, LATER).await?;
    later.write_all(&one).await?;
    later.flush().await?;
    later.read_exact(&mut one).await?;
    Ok(later.close().await?)
}

pub async fn see(dialler: &Dialler, connected: Connected, out: &mut Map<String, Value>) -> Result<(), Failure> {
    see_news(dialler).await?;
    out.insert("push_seen".into(), true.into());
    let mut asking = dialler.node.open(dialler.peer, LEAVE).await?;
    asking.write_all(&[0]).await?;
    asking.flush().await?;
    patiently("the peer's leaving", connected.closed).await??;
    out.insert("leave_seen".into(), true.into());
    Ok(())
}
