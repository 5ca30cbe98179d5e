// What is remembered. A browser may refuse to, or have no room left: then nothing is.

function shelf(area, prefix) {
  return {
    get(key) {
      try {
        return JSON.parse(globalThis[area].getItem(prefix + key)) ?? undefined;
      } catch {
        return undefined;
      }
    },
    set(key, value) {
      try {
        if (value === undefined) globalThis[area].removeItem(prefix + key);
        else globalThis[area].setItem(prefix + key, JSON.stringify(value));
      } catch {}
    },
  };
}

/** Which pane of the split view this is, if any. Panes are frames of one tab and share its storage. */
export const pane = new URLSearchParams(location.search).get('pane');

const prefix = pane ? `protoo.${pane}.` : 'protoo.';

/** Shared by all tabs, except for the panes. */
export const browser = shelf('localStorage', prefix);
/** Of this tab; it outlives a reload. */
export const tab = shelf('sessionStorage', prefix);
