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

/** Searches by arm since the page was opened. */
const met = new Map();
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

async function search() {
  const turn = ++latest;
  say('Searching ...');
  try {
    const response = await fetch(`/v1/ads?${new URLSearchParams({ q: input.value, market: market.value })}`, {
      // Without the cookie the edge makes a new visitor, who may fall into another arm.
      credentials: newVisitor.checked ? 'omit' : 'same-origin',
    });
    const answer = await response.json();
    if (turn !== latest) return;
    if (response.ok) show(answer);
    else refuse(answer.detail ?? `The edge answered with status ${response.status}.`);
  } catch {
    if (turn === latest) refuse('The edge does not answer.');
  }
}

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
  byId('ads').replaceChildren();
  byId('trace').hidden = true;
  say(reason, true);
}

/** @param {any} answer an AdsResponse */
function show(answer) {
  const { slots, degraded } = answer;
  const count = slots.length === 1 ? '1 ad' : `${slots.length} ads`;
  if (degraded) say(`${count}; degraded: ${degraded.rung} (${degraded.reason.replaceAll('_', ' ')}).`, true);
  else say(slots.length === 0 ? 'No ad is relevant enough.' : `${count} for “${answer.query.normalized}”.`);
  byId('ads').replaceChildren(...slots.map(adItem));
  byId('trace').hidden = false;
  showFacts(answer);
  showTimings(answer.timings);
  showArms(answer.assignments);
  byId('answer').textContent = JSON.stringify(answer, null, 2);
}

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

/** @param {{totalMs: number, backendMs: number, encodeMs: number, searchMs: number}} timings */
function showTimings({ totalMs, backendMs, encodeMs, searchMs }) {
  /** @type {[string, string, number][]} */
  const parts = [
    ['edge', 'Edge', Math.max(0, totalMs - backendMs)],
    ['network', 'Way to the backend and back', Math.max(0, backendMs - encodeMs - searchMs)],
    ['encode', 'Encoding the query', encodeMs],
    ['retrieve', 'Searching', searchMs],
  ];
  const bars = parts.map(([name, , ms]) => {
    const bar = element('span', { class: name });
    bar.style.flexGrow = String(ms);
    return bar;
  });
  byId('bar').replaceChildren(...bars);
  const legend = parts.map(([name, title, ms]) =>
    element('li', {}, element('i', { class: name, 'aria-hidden': 'true' }), `${title}: ${ms.toFixed(1)} ms`),
  );
  byId('time-legend').replaceChildren(...legend, element('li', {}, `In all: ${totalMs.toFixed(1)} ms`));
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
