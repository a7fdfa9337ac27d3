"""A stock Petals client through given servers: stock_client.py MODEL_DIR PREFIX COUNT PROMPT MULTIADDR=A:B..

Servers without a DHT are entered into one that this program starts, in their name; all else is the client's own doing.
Prints {tokens, seconds, ms_per_token, batch_ok, beams_ok} as JSON: a batch of two gave what each gives alone, a beam
search what plain transformers give.
"""

import gc
import json
import os
import sys
import time
from functools import partial

import torch
from hivemind import DHT, PeerID, get_dht_time
from hivemind.moe.client.remote_expert_worker import RemoteExpertWorker
from hivemind.utils.multiaddr import Multiaddr
from petals import AutoDistributedModelForCausalLM
from petals.data_structures import ServerInfo, ServerState
from transformers import AutoTokenizer, LlamaForCausalLM


def write_past_the_end(model) -> None:
    model.generation_config.eos_token_id = model.config.eos_token_id = None


async def store(dht, node, records):
    for key, subkey, value in records:
        if not await node.store(key, value, get_dht_time() + 600, subkey=subkey):
            raise RuntimeError(f"could not store {key}")


def enter(dht: DHT, prefix: str, servers: list) -> None:
    """Connects the daemon of `dht` to the servers and stores what they would announce themselves."""
    p2p = RemoteExpertWorker.run_coroutine(dht.replicate_p2p())
    records = []
    for text in servers:
        address, _, blocks = text.partition("=")
        first, end = map(int, blocks.split(":"))
        peer = Multiaddr(address)["p2p"]
        where = Multiaddr(address.removesuffix("/p2p/" + peer))
        RemoteExpertWorker.run_coroutine(p2p._client.connect(PeerID.from_base58(peer), [where]))
        info = ServerInfo(
            ServerState.ONLINE, throughput=1.0, inference_rps=1.0, forward_rps=1.0, network_rps=1.0,
            start_block=first, end_block=end, cache_tokens_left=4096, torch_dtype="float32", version="2.2.0",
        )  # fmt: skip
        records += [(f"{prefix}.{block}", peer, info.to_tuple()) for block in range(first, end)]
    dht.run_coroutine(partial(store, records=records))


def main() -> None:
    # Sessions of Petals that are collected call the event loop and wait for it: for ever where that was the loop's own thread.
    gc.disable()
    folder, prefix, count, prompt, *servers = sys.argv[1:]
    dht = DHT(start=True, host_maddrs=["/ip4/127.0.0.1/tcp/0"])
    enter(dht, prefix, servers)
    boot = [str(address) for address in dht.get_visible_maddrs()]
    ids = AutoTokenizer.from_pretrained(folder)(prompt, return_tensors="pt").input_ids
    model = AutoDistributedModelForCausalLM.from_pretrained(
        folder, initial_peers=boot, dht_prefix=prefix, torch_dtype=torch.float32, show_route=True, max_retries=2
    )
    options = dict(do_sample=False, pad_token_id=0)
    write_past_the_end(model)
    begin = time.perf_counter()
    out = model.generate(ids, max_new_tokens=int(count), **options)
    took = time.perf_counter() - begin
    result = {"tokens": out[0, ids.shape[1] :].tolist(), "seconds": took}
    with model.inference_session(max_length=200) as session, torch.inference_mode():
        model.generate(ids, max_new_tokens=1, session=session, **options)
        begin = time.perf_counter()
        model.generate(None, max_new_tokens=50, session=session, **options)
        result["ms_per_token"] = (time.perf_counter() - begin) * 1000 / 50
    options["max_new_tokens"] = int(count)
    batch = torch.cat([ids, ids.flip(1)])
    alone = torch.cat([model.generate(one, **options) for one in batch.split(1)])
    result["batch_ok"] = torch.equal(model.generate(batch, **options), alone)
    plain = LlamaForCausalLM.from_pretrained(folder, torch_dtype=torch.float32)
    write_past_the_end(plain)
    with torch.inference_mode():
        expected = plain.generate(ids, num_beams=3, **options)
    result["beams_ok"] = torch.equal(model.generate(ids, num_beams=3, **options), expected)
    print(json.dumps(result), flush=True)
    os._exit(0)  # the daemons' threads would keep the process


if __name__ == "__main__":
    main()
