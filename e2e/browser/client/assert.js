// The part of node:assert/strict that the scenarios use.

const show = (value) => (value instanceof RegExp ? String(value) : JSON.stringify(value, (_, v) => (v === undefined ? '(undefined)' : v)));

function same(a, b) {
  if (Object.is(a, b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || !a || !b || Array.isArray(a) !== Array.isArray(b)) return false;
  const [keys, others] = [Object.keys(a), Object.keys(b)];
  return keys.length === others.length && keys.every((key) => Object.hasOwn(b, key) && same(a[key], b[key]));
}

function check(good, message, actual, expected) {
  if (!good) throw new Error(`${message ?? 'assertion'}: got ${show(actual)}, expected ${show(expected)}`);
}

export const assert = {
  ok: (value, message) => check(value, message, value, true),
  equal: (actual, expected, message) => check(Object.is(actual, expected), message, actual, expected),
  deepEqual: (actual, expected, message) => check(same(actual, expected), message, actual, expected),
  async rejects(promise, fields) {
    const error = await promise.then(() => { throw new Error(`resolved, expected ${show(fields)}`); }, (error) => error);
    for (const [name, expected] of Object.entries(fields)) {
      const good = expected instanceof RegExp ? expected.test(error[name]) : same(error[name], expected);
      check(good, `rejection, ${name} of ${error}`, error[name], expected);
    }
  },
};
