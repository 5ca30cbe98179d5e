// Follows the system until somebody chooses. All panes and tabs follow.

const KEY = 'protoo.theme';
const dark = matchMedia('(prefers-color-scheme: dark)');

function stored() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

function apply(theme) {
  const root = document.documentElement;
  if (theme === 'light' || theme === 'dark') root.dataset.theme = theme;
  else delete root.dataset.theme;
  document.dispatchEvent(new Event('themechange'));
}

export const isDark = () => (document.documentElement.dataset.theme ?? (dark.matches ? 'dark' : 'light')) === 'dark';

export function toggle() {
  const theme = isDark() ? 'light' : 'dark';
  apply(theme);
  try {
    // What the system has as well need not be remembered.
    if ((theme === 'dark') === dark.matches) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, theme);
  } catch {}
}

apply(stored());
dark.addEventListener('change', () => document.dispatchEvent(new Event('themechange')));
addEventListener('storage', ({ key, newValue }) => { if (key === KEY) apply(newValue); });
