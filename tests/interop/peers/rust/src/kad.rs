//! What --kad adds: a table node under /interop/kad/1.0.0, its values and providers.
use std::collections::HashSet;

use libp2p::{
    identify,
    identity::PublicKey,
    kad::{
        store::MemoryStore, Behaviour, Config, Event as KadEvent, GetClosestPeersOk, GetProvidersOk, GetRecordOk, Mode, QueryId,
        QueryResult, Quorum, Record, RecordKey,
    },
    swarm::SwarmEvent,
    Multiaddr, PeerId, StreamProtocol, Swarm,
};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::{
    node::{self, patiently, BehaviourEvent, Event, Node},
    Failure,
};

pub type Table = Behaviour<MemoryStore>;

const PROTOCOL: StreamProtocol = StreamProtocol::new("/interop/kad/1.0.0");
const VALUE_KEY: &[u8] = b"/interop/value"; // holds "N from LIBRARY"
const SHA2_256: [u8; 2] = [0x12, 32]; // as a multihash begins

pub fn make_table(id: PeerId, is_server: bool) -> Table {
    let mut table = Behaviour::with_config(id, MemoryStore::new(id), Config::new(PROTOCOL));
    table.set_mode(Some(if is_server { Mode::Server } else { Mode::Client }));
    table
}

fn key_of(id: &PeerId) -> Vec<u8> {
    [b"/pk/".as_slice(), &id.to_bytes()].concat()
}

/// What is provided.
fn offer() -> RecordKey {
    RecordKey::new(&[SHA2_256.as_slice(), &Sha256::digest(b"interop")].concat())
}

/// The library leaves it to us to tell the table where peers listen.
pub fn learn(swarm: &mut Swarm<node::Behaviour>, event: &Event) {
    let SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. })) = event else { return };
    let Some(table) = swarm.behaviour_mut().kad.as_mut() else { return };
    if info.protocols.contains(&PROTOCOL) {
        for address in &info.listen_addrs {
            table.add_address(peer_id, address.clone());
        }
    }
}

/// Starts a query, and gives what `take` has made of its results; one query runs at a time.
async fn query<T: Default + Send + 'static>(
    node: &Node,
    what: &str,
    start: impl FnOnce(&mut Table) -> Result<QueryId, Failure> + Send + 'static,
    take: impl Fn(&QueryResult, &mut T) -> Option<Result<(), String>> + Send + 'static,
) -> Result<T, Failure> {
    let mut found = T::default();
    let outcome = node.watch(move |event: &Event| {
        let SwarmEvent::Behaviour(BehaviourEvent::Kad(KadEvent::OutboundQueryProgressed { result, step, .. })) = event else {
            return None;
        };
        let taken = take(result, &mut found)?; // nothing: it is of another query
        step.last.then(|| taken.map(|()| std::mem::take(&mut found)))
    });
    node.call(move |swarm| start(swarm.behaviour_mut().kad.as_mut().expect("--kad is given"))).await??;
    Ok(patiently(what, outcome).await??.map_err(|why| format!("{what}: {why}"))?)
}

async fn put(node: &Node, what: &str, key: Vec<u8>, value: Vec<u8>) -> Result<(), Failure> {
    let start = move |table: &mut Table| Ok(table.put_record(Record::new(key, value), Quorum::One)?);
    query(node, what, start, |result, _: &mut ()| match result {
        QueryResult::PutRecord(done) => Some(done.as_ref().map(|_| ()).map_err(|error| error.to_string())),
        _ => None,
    })
    .await
}

/// What others hold under the key: of several values the one that begins with the higher digit.
async fn get(node: &Node, what: &str, key: Vec<u8>) -> Result<Vec<u8>, Failure> {
    let start = move |table: &mut Table| Ok(table.get_record(RecordKey::from(key)));
    query(node, what, start, |result, best: &mut Vec<u8>| match result {
        QueryResult::GetRecord(Ok(GetRecordOk::FoundRecord(found))) => {
            if found.peer.is_some() && found.record.value > *best {
                best.clone_from(&found.record.value);
            }
            Some(Ok(()))
        }
        QueryResult::GetRecord(Ok(_)) => Some(Ok(())),
        QueryResult::GetRecord(Err(error)) => Some(Err(error.to_string())),
        _ => None,
    })
    .await
}

/// Joins through the node at `address`, puts the value and the own key, and provides.
pub async fn join(node: &Node, address: &str, own: &PublicKey) -> Result<(), Failure> {
    let address: Multiaddr = address.parse()?;
    let updated = node.watch(|event: &Event| match event {
        SwarmEvent::Behaviour(BehaviourEvent::Kad(KadEvent::RoutingUpdated { .. })) => Some(()),
        _ => None,
    });
    node.call(move |swarm| swarm.dial(address)).await??;
    patiently("the table", updated).await??;
    put(node, "putting a value", VALUE_KEY.into(), b"1 from rust".into()).await?;
    put(node, "putting a key", key_of(&node.id), own.encode_protobuf()).await?;
    query(
        node,
        "providing",
        |table| Ok(table.start_providing(offer())?),
        |result, _: &mut ()| match result {
            QueryResult::StartProviding(done) => Some(done.as_ref().map(|_| ()).map_err(|error| error.to_string())),
            _ => None,
        },
    )
    .await
}

/// The addresses at which the table knows that peer.
async fn find(node: &Node, wanted: PeerId) -> Result<Vec<String>, Failure> {
    query(
        node,
        "finding a peer",
        move |table| Ok(table.get_closest_peers(wanted)),
        move |result, found: &mut Vec<String>| match result {
            QueryResult::GetClosestPeers(Ok(GetClosestPeersOk { peers, .. })) => {
                for peer in peers.iter().filter(|peer| peer.peer_id == wanted) {
                    found.extend(peer.addrs.iter().map(|address| address.to_string()));
                }
                Some(Ok(()))
            }
            QueryResult::GetClosestPeers(Err(error)) => Some(Err(error.to_string())),
            _ => None,
        },
    )
    .await
}

async fn find_providers(node: &Node) -> Result<HashSet<PeerId>, Failure> {
    query(
        node,
        "finding providers",
        |table| Ok(table.get_providers(offer())),
        |result, found: &mut HashSet<PeerId>| match result {
            QueryResult::GetProviders(Ok(GetProvidersOk::FoundProviders { providers, .. })) => {
                found.extend(providers);
                Some(Ok(()))
            }
            QueryResult::GetProviders(Ok(_)) => Some(Ok(())),
            QueryResult::GetProviders(Err(error)) => Some(Err(error.to_string())),
            _ => None,
        },
    )
    .await
}

/// Asks the table of the connected node for another one, and for what that one has put and provides.
pub async fn look(node: &Node, target: &Multiaddr, wanted: &str, out: &mut Map<String, Value>) -> Result<(), Failure> {
    let id: PeerId = wanted.parse()?;
    let server = target.clone();
    node.call(move |swarm| {
        if let (Some(libp2p::multiaddr::Protocol::P2p(peer)), Some(table)) =
            (server.iter().last(), swarm.behaviour_mut().kad.as_mut())
        {
            table.add_address(&peer, server);
        }
    })
    .await?;
    let value = get(node, "getting a value", VALUE_KEY.into()).await?;
    out.insert("kad_value".into(), String::from_utf8(value)?.into());
    let key = get(node, "getting a key", key_of(&id)).await?;
    out.insert("kad_key_ok".into(), (PublicKey::try_decode_protobuf(&key)?.to_peer_id() == id).into());
    let mut providers = Map::new();
    for provider in find_providers(node).await? {
        // The library gives no addresses with them.
        providers.insert(provider.to_string(), find(node, provider).await?.join(" ").into());
    }
    out.insert("kad_providers".into(), providers.into());
    out.insert("kad_addresses".into(), find(node, id).await?.join(" ").into());
    put(node, "putting a newer value", VALUE_KEY.into(), b"2 from rust".into()).await?;
    let newer = get(node, "getting the newer value", VALUE_KEY.into()).await?;
    out.insert("kad_replaced".into(), (newer == b"2 from rust").into());
    Ok(())
}
