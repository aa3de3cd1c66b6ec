// The playground's behaviour: asks GET /v1/ads and shows the answer. Everything is set as text, never as HTML.

const EXAMPLES = ['necktie', 'tent', 'icebox', 'avocado', 'taxicab', 'something to boil water in'];

/** @param {string} id */
const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/**
 * An element with text or children.
 * @param {string} tag
 * @param {{class?: string, [attribute: string]: string | undefined}} attributes
 * @param {...(Node | string)} children
 */
function element(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== undefined) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

const form = /** @type {HTMLFormElement} */ (byId('search'));
const input = /** @type {HTMLInputElement} */ (byId('q'));
const market = /** @type {HTMLSelectElement} */ (byId('market'));
const newVisitor = /** @type {HTMLInputElement} */ (byId('new-visitor'));
const status = byId('status');
const dashboard = /** @type {HTMLAnchorElement} */ (byId('dashboard'));

/** New visitors that are asked for until one is in another arm. */
const MOST_VISITORS = 12;

const compare = /** @type {HTMLButtonElement} */ (byId('compare'));

/** Searches by arm since the page was opened. */
const met = new Map();
/** Arms of the answer that is shown. */
let shown = '';
/** The latest search; answers of earlier ones come too late. */
let latest = 0;

if (dashboard.getAttribute('href')) dashboard.hidden = false;

for (const example of EXAMPLES) {
  const button = element('button', { type: 'button', 'aria-describedby': 'examples-label' }, example);
  button.addEventListener('click', () => {
    input.value = example;
    form.requestSubmit();
  });
  byId('examples').append(button);
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  const url = new URL(location.href);
  url.searchParams.set('q', input.value);
  url.searchParams.set('market', market.value);
  history.replaceState(null, '', url);
  void search();
});

compare.addEventListener('click', () => void findOtherArm());

/**
 * The edge's answer; throws Error with its reason when it refuses.
 * @param {boolean} asNewVisitor without the cookie the edge makes a new visitor, who may fall into another arm
 */
async function ask(asNewVisitor) {
  const url = `/v1/ads?${new URLSearchParams({ q: input.value, market: market.value })}`;
  const response = await fetch(url, { credentials: asNewVisitor ? 'omit' : 'same-origin' }).catch(() => {
    throw new Error('The edge does not answer.');
  });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.detail ?? `The edge answered with status ${response.status}.`);
  return answer;
}

async function search() {
  const turn = ++latest;
  say('Searching ...');
  closeComparison();
  try {
    const answer = await ask(newVisitor.checked);
    if (turn === latest) show(answer);
  } catch (error) {
    if (turn === latest) refuse(/** @type {Error} */ (error).message);
  }
}

function closeComparison() {
  byId('comparison').hidden = true;
  byId('other').hidden = true;
  byId('main').classList.remove('compared');
}

/** Asks as new visitors until one is in another arm, and shows its ads beside those that are there. */
async function findOtherArm() {
  const turn = latest;
  compare.disabled = true;
  try {
    for (let visitor = 0; visitor < MOST_VISITORS; visitor++) {
      const answer = await ask(true);
      if (turn !== latest) return;
      if (armsOf(answer) === shown) continue;
      byId('other-title').textContent = `Ads in arm ${armsOf(answer)}`;
      byId('other-status').textContent = summary(answer);
      byId('other-ads').replaceChildren(...answer.slots.map(adItem));
      byId('other').hidden = false;
      byId('comparison').hidden = true;
      byId('main').classList.add('compared');
      byId('other-title').focus(); // the button that had it is gone
      return;
    }
    byId('compare-hint').textContent = `${MOST_VISITORS} new visitors were all in arm ${shown}.`;
  } catch (error) {
    if (turn === latest) byId('compare-hint').textContent = /** @type {Error} */ (error).message;
  } finally {
    compare.disabled = false;
  }
}

/** @param {{assignments: {arm: string}[]}} answer */
const armsOf = ({ assignments }) => assignments.map(({ arm }) => arm).join(', ');

/**
 * @param {string} text
 * @param {boolean} [warn]
 */
function say(text, warn = false) {
  status.textContent = text;
  status.classList.toggle('warn', warn);
}

/** @param {string} reason */
function refuse(reason) {
  byId('ads-title').textContent = 'Ads';
  byId('ads').replaceChildren();
  byId('trace').hidden = true;
  say(reason, true);
}

/** @param {any} answer an AdsResponse */
function show(answer) {
  const { slots, degraded } = answer;
  shown = armsOf(answer);
  if (degraded) say(`${count(slots)}; degraded: ${degraded.rung} (${degraded.reason.replaceAll('_', ' ')}).`, true);
  else say(summary(answer));
  byId('ads-title').textContent = shown === '' ? 'Ads' : `Ads in arm ${shown}`;
  byId('ads').replaceChildren(...slots.map(adItem));
  byId('comparison').hidden = shown === '';
  byId('compare-hint').textContent = 'Asks as new visitors, who count in the experiment, until one is there.';
  byId('trace').hidden = false;
  showFacts(answer);
  showTimings(answer.timings);
  showArms(answer.assignments);
  byId('answer').textContent = JSON.stringify(answer, null, 2);
}

/** @param {unknown[]} slots */
const count = (slots) => (slots.length === 1 ? '1 ad' : `${slots.length} ads`);

/** @param {any} answer */
const summary = ({ slots, query }) =>
  slots.length === 0 ? 'No ad is relevant enough.' : `${count(slots)} for “${query.normalized}”.`;

/** @param {any} slot */
function adItem(slot) {
  return element(
    'li',
    {},
    element('p', { class: 'where' }, element('span', { class: 'tag' }, 'Ad'), slot.displayUrl),
    element('a', { href: slot.clickUrl, target: '_blank', rel: 'noopener' }, slot.title),
    element('p', {}, slot.description),
  );
}

/** @param {any} answer */
function showFacts(answer) {
  const { query, assignments, cache, generation, model, requestId } = answer;
  const age = cache.status === 'miss' ? '' : `, ${(cache.ageMs / 1000).toFixed(1)} s old`;
  /** @type {[string, Node | string][]} */
  const facts = [
    ['Normalized', query.normalized],
    ...assignments.map((/** @type {any} */ { experiment, arm }) => [
      'Arm',
      element('span', {}, element('strong', {}, arm), ` of ${experiment}`),
    ]),
    ['Cache', cache.status + age],
    ['Generation', generation === null ? 'none' : String(generation)],
    ['Model', model ?? 'none'],
    ['Request', requestId],
  ];
  byId('facts').replaceChildren(
    ...facts.flatMap(([name, value]) => [element('dt', {}, name), element('dd', {}, value)]),
  );
}

/**
 * The edge's clock counts whole milliseconds.
 * @param {number} ms
 */
const time = (ms) => (ms === 0 ? 'under 1 ms' : `${ms.toFixed(1)} ms`);

/** @param {{totalMs: number, backendMs: number, encodeMs: number, searchMs: number}} timings */
function showTimings({ totalMs, backendMs, encodeMs, searchMs }) {
  /** @type {[string, string, number][]} */
  const all = [
    ['edge', 'Edge', Math.max(0, totalMs - backendMs)],
    ['network', 'Way to the backend and back', Math.max(0, backendMs - encodeMs - searchMs)],
    ['encode', 'Encoding the query', encodeMs],
    ['retrieve', 'Searching', searchMs],
  ];
  // What did not take part has no time: a cached list needs no backend, words alone no encoder.
  const parts = all.filter(([name, , ms]) => name === 'edge' || ms > 0);
  const bars = parts.map(([name, , ms]) => {
    const bar = element('span', { class: name });
    bar.style.flexGrow = String(Math.max(ms, 0.1));
    return bar;
  });
  byId('bar').replaceChildren(...bars);
  const legend = parts.map(([name, title, ms]) =>
    element('li', {}, element('i', { class: name, 'aria-hidden': 'true' }), `${title}: ${time(ms)}`),
  );
  byId('time-legend').replaceChildren(...legend, element('li', {}, `In all: ${time(totalMs)}`));
}

/** @param {{experiment: string, arm: string}[]} assignments */
function showArms(assignments) {
  for (const { experiment, arm } of assignments) {
    const name = `${experiment}: ${arm}`;
    met.set(name, (met.get(name) ?? 0) + 1);
  }
  const lines = [...met]
    .sort()
    .map(([name, times]) => element('li', {}, `${name}, ${times === 1 ? 'once' : `${times} times`}`));
  byId('arms').replaceChildren(...(lines.length === 0 ? [element('li', {}, 'No experiment is running.')] : lines));
}

const asked = new URL(location.href).searchParams;
if ([...market.options].some(({ value }) => value === asked.get('market'))) market.value = asked.get('market') ?? '';
if (asked.get('q')) {
  input.value = asked.get('q') ?? '';
  void search();
}
