// node --test wasm/greedy_test.mjs: the core as WebAssembly writes the tokens of the reference, as the native one does
// (tests/golden). KWAAI_FIXTURES names the directory of the model and the reference.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import test from 'node:test';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const core = here('../build/wasm/wasm/kwaai_core.wasm');
const models = `${process.env.KWAAI_FIXTURES ?? ''}/models`;
const run = (...args) =>
  execFileSync('node', ['--no-warnings', here('run.mjs'), core, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

test('200 greedy tokens equal the reference', (t) => {
  const model = `${models}/stories260K.gguf`;
  if (!existsSync(model)) return t.skip('skipped: no fixture models/stories260K.gguf (set KWAAI_FIXTURES)');
  const reference = JSON.parse(readFileSync(`${models}/stories260K.greedy.json`, 'utf8'));
  for (const { prompt, generated_ids: expected } of reference) {
    const count = Math.min(200, expected.length);
    const ids = run(model, String(count), prompt).trim().split(' ').map(Number);
    assert.deepEqual(ids, expected.slice(0, count), `prompt "${prompt}"`);
  }
});

test('a file that is no model is refused with a sentence', () => {
  assert.throws(() => run(here('run.mjs'), '1', 'x'), (error) => error.status === 1 && /^kwaai_core: /.test(error.stderr));
});
