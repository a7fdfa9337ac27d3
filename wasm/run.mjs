// node run.mjs MODULE.wasm MODEL.gguf TOKENS [PROMPT]: runs the portable core under Node's WASI.
import { readFile } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { WASI } from 'node:wasi';

const [module, model, ...rest] = process.argv.slice(2);
const wasi = new WASI({
  version: 'preview1',
  args: ['kwaai_core', `/models/${basename(model)}`, ...rest],
  preopens: { '/models': dirname(resolve(model)) },
  returnOnExit: true,
});
const imports = { wasi_snapshot_preview1: wasi.wasiImport };
const { instance } = await WebAssembly.instantiate(await readFile(module), imports);
process.exitCode = wasi.start(instance);
