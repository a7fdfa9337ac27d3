//! rustpeer: a rust-libp2p node that tests talk to; flags and output are those of ../../README.md.
mod autonat;
mod changes;
mod dialler;
mod flags;
mod kad;
mod measure;
mod node;
mod relay;
mod serve;
mod streams;
mod transport;

use std::fs;

use libp2p::{identity::PublicKey, swarm::SwarmEvent, Multiaddr};
use tokio::signal::unix::{signal, SignalKind};

use crate::{
    dialler::Dialler,
    flags::Flags,
    node::{patiently, Event, Node},
};

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

fn listen_address(flags: &Flags, kind: &str) -> Result<Multiaddr, Failure> {
    let (ip, port) = (flags.text("ip").unwrap_or("127.0.0.1"), flags.number("port")?);
    let text = match kind {
        "tcp" => format!("/ip4/{ip}/tcp/{port}"),
        "quic" => format!("/ip4/{ip}/udp/{port}/quic-v1"),
        web => format!("/ip4/{ip}/tcp/{port}/{web}"),
    };
    Ok(text.parse()?)
}

/// Once it listens. Others are told the address as one that is ours, without any proof, where that is needed.
async fn listen(node: &Node, flags: &Flags, kind: &str) -> Result<(), Failure> {
    let listening = node.watch(|event: &Event| match event {
        SwarmEvent::NewListenAddr { address, .. } => Some(address.clone()),
        _ => None,
    });
    let address = listen_address(flags, kind)?;
    node.call(move |swarm| swarm.listen_on(address)).await??;
    let own = patiently("listening", listening).await??;
    if flags.has("relay") || flags.has("kad") {
        node.call(move |swarm| swarm.add_external_address(own)).await?;
    }
    Ok(())
}

/// The file appears whole: who waits for it reads all lines.
fn tell(lines: &str, file: Option<&str>) -> Result<(), Failure> {
    print!("{lines}");
    if let Some(file) = file {
        fs::write(format!("{file}.new"), lines)?;
        fs::rename(format!("{file}.new"), file)?;
    }
    Ok(())
}

async fn serve(node: &Node, flags: &Flags, own: &PublicKey) -> Result<(), Failure> {
    let mut ending = signal(SignalKind::terminate())?;
    if let Some(address) = flags.text("kad-join") {
        kad::join(node, address, own).await?;
    }
    let mut addresses = node.call(|swarm| swarm.listeners().cloned().collect::<Vec<_>>()).await?;
    if let Some(address) = flags.text("reserve") {
        let observed = relay::watch_observed(node);
        addresses.push(relay::reserve(node, address).await?);
        if flags.has("punch") {
            patiently("an observed address", observed).await??;
        }
    }
    let lines: String = addresses.iter().map(|address| format!("{address}/p2p/{}\n", node.id)).collect();
    tell(&lines, flags.text("addrfile"))?;
    ending.recv().await;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let flags = Flags::of_command_line();
    // Both of rustls' providers are linked in by what the library needs.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let identity = transport::make_identity(flags.text("key").unwrap_or("ed25519"))?;
    let own = identity.public();
    let node = node::start(identity, &flags)?;
    if let Some(kind) = flags.text("listen") {
        listen(&node, &flags, kind).await?;
    }
    match flags.text("dial") {
        Some(address) => println!("{}", Dialler::new(node, address.parse()?)?.try_all(&flags).await?),
        None => serve(&node, &flags, &own).await?,
    }
    Ok(())
}
