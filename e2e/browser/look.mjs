// What a state of the page looks like, kept as screenshots, and what can be checked of it.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { shoot } from './harness.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

const SIZES = { wide: { width: 1280, height: 800 }, narrow: { width: 360, height: 740 } };

// Names and roles depend on the width, contrast on the colours: two of the four combinations show all of it.
const LOOKS = [['wide', 'light'], ['narrow', 'dark']];
if (process.env.E2E_SCREENSHOTS === 'all') LOOKS.push(['wide', 'dark'], ['narrow', 'light']);

/** `view` is what a narrow page is to show, where there is room for one thing at a time. */
export async function look(page, name, view) {
  for (const [width, colorScheme] of LOOKS) {
    await page.setViewportSize(SIZES[width]);
    await page.emulateMedia({ colorScheme });
    if (view && width === 'narrow') {
      await page.getByRole('navigation', { name: 'Views' }).getByRole('button', { name: view }).click();
    }
    await shoot(page, `${name} ${width} ${colorScheme}`);
    await checkAccessibility(page, `${name}, ${width} ${colorScheme}`);
    await checkNoSidewaysScroll(page, `${name}, ${width}`);
  }
  await page.setViewportSize(SIZES.wide);
  await page.emulateMedia({ colorScheme: 'light' });
}

/** Checks what somebody would meet who cannot see the page, or not well. */
async function checkAccessibility(page, what) {
  if (!await page.evaluate(() => 'axe' in globalThis)) await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run({ resultTypes: ['violations'] }));
  const found = violations.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html}\n${failureSummary}`));
  assert.deepEqual(found, [], `accessibility of ${what}`);
}

export async function checkNoSidewaysScroll(page, what) {
  const beyond = await page.evaluate(() => {
    const { clientWidth, scrollWidth } = document.documentElement;
    // What scrolls or is cut off by itself may be wider.
    const inside = 'pre, .unseen, .frames summary, select';
    const nodes = [...document.querySelectorAll('body *')].filter((node) => {
      const { left, right, width } = node.getBoundingClientRect();
      return width > 1 && (right > clientWidth + 0.5 || left < -0.5) && !node.closest(inside);
    });
    return scrollWidth > clientWidth ? ['the page scrolls'] : nodes.map((node) => node.outerHTML.slice(0, 120));
  });
  assert.deepEqual(beyond, [], `width of ${what}`);
}
