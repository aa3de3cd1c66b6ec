/** The look of the dashboard: one inline sheet, light and dark by the reader's setting, from phone to desktop. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --surface: #fff; --ink: #1a1d21; --quiet: #626973; --line: #dfe3e8; --link: #1558c0;
  --better: #0b7a43; --worse: #b3261e; --better-wash: #e3f4ea; --worse-wash: #fbe6e4;
  --warn: #8a5300; --warn-wash: #fdf0d5; --code: #f0f2f5;
  --arm-0: #6b7280; --arm-1: #1f6fd6; --arm-2: #b4570b; --arm-3: #0a7d6c;
  --arm-4: #8a3ab9; --arm-5: #a8326b; --arm-6: #6d7b0c; --arm-7: #0e7490;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #101317; --surface: #181c22; --ink: #e8eaed; --quiet: #9aa3ae; --line: #2c333c; --link: #8ab8ff;
    --better: #57cf8b; --worse: #ff8a80; --better-wash: #12301f; --worse-wash: #3a1a18;
    --warn: #f5c26b; --warn-wash: #35280f; --code: #0f1216;
    --arm-0: #a3abb6; --arm-1: #6cabff; --arm-2: #f0a35e; --arm-3: #4fd1bc;
    --arm-4: #cf97f0; --arm-5: #f08bb8; --arm-6: #c3d04c; --arm-7: #5cc8e6;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
header, main, footer { max-width: 64rem; margin: 0 auto; padding: 0 1rem; }
header { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; align-items: baseline; padding-top: 1rem; }
header strong { font-size: 1rem; }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1rem; }
a { color: var(--link); }
nav a[aria-current] { color: var(--ink); font-weight: 600; text-decoration: none; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 1.25rem 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1rem; margin: 0 0 .75rem; overflow-wrap: anywhere; }
p { margin: .25rem 0; overflow-wrap: anywhere; }
.quiet { color: var(--quiet); }
section { background: var(--surface); border: 1px solid var(--line); border-radius: .6rem; padding: 1rem; margin: 1rem 0; }
.badge { display: inline-block; border-radius: 1rem; padding: .05rem .65rem; font-size: .85rem; font-weight: 600; border: 1px solid currentColor; }
.good { color: var(--better); background: var(--better-wash); }
.bad { color: var(--worse); background: var(--worse-wash); }
.warn { color: var(--warn); background: var(--warn-wash); }
.plain { color: var(--quiet); }
.better { color: var(--better); }
.worse { color: var(--worse); }
.decision .badge { font-size: 1rem; padding: .15rem .9rem; margin-right: .4rem; }
a.sql { font-size: .75rem; font-weight: 400; margin-left: .35rem; }
details { margin: .35rem 0; }
summary { cursor: pointer; }
pre { background: var(--code); border-radius: .4rem; padding: .75rem; margin: .5rem 0; font-size: .75rem; line-height: 1.45; white-space: pre-wrap; overflow-wrap: anywhere; max-height: 24rem; overflow-y: auto; }
code { background: var(--code); border-radius: .25rem; padding: 0 .3em; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .35rem .5rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
tbody th { font-weight: 400; }
thead th { white-space: normal; overflow-wrap: anywhere; min-width: 7em; font-weight: 600; font-size: .85rem; color: var(--quiet); }
table.metrics, table.ways { font-size: .85rem; }
.metrics th, .metrics td { padding-left: .3rem; padding-right: .3rem; }
.metrics th:first-child { padding-left: 0; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .35rem 1.25rem; margin: .75rem 0 0; }
dt { font-weight: 600; }
dd { margin: 0; }
tr:last-child > * { border-bottom: 0; }
.charts { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; }
h3 { font-size: .85rem; font-weight: 600; color: var(--quiet); margin: 0; }
span { overflow-wrap: anywhere; }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1rem; margin-bottom: .5rem; }
.legend svg { width: 1.4rem; height: .5rem; vertical-align: middle; margin-right: .4rem; }
.chart svg { display: block; max-width: 100%; height: auto; }
.chart text { white-space: pre; }
.narrow { display: none; }
[data-untrusted] > :not(h2) { opacity: .5; }
footer { color: var(--quiet); padding-bottom: 2rem; }
footer a { margin-right: 1rem; }
@media (max-width: 44rem) {
  th, td { padding-left: .25rem; padding-right: .25rem; }
  tbody th { white-space: normal; }
  table.metrics, table.ways { font-size: inherit; }
  .wide { display: none; }
  .narrow { display: block; }
  .charts { grid-template-columns: 1fr; }
  .metrics thead, .guardrails thead { display: none; }
  .metrics tr, .guardrails tr { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); column-gap: .75rem; padding: .5rem 0; border-bottom: 1px solid var(--line); }
  .metrics tbody tr:last-child, .guardrails tbody tr:last-child { border-bottom: 0; }
  .metrics th, .metrics td, .guardrails th, .guardrails td { border: 0; padding: 0; text-align: left; white-space: normal; overflow-wrap: anywhere; }
  .metrics th, .guardrails th { grid-column: 1 / -1; font-weight: 600; }
  .metrics td:last-child { order: 1; }
  .metrics td:nth-child(5), .metrics td:nth-child(6) { order: 2; grid-column: 1 / -1; }
  .guardrails td:nth-child(5) { order: -1; }
  .guardrails th, .guardrails td:nth-child(2) { order: -2; }
  .guardrails td:nth-child(3) { grid-column: 1 / -1; }
  dl { grid-template-columns: minmax(0, 1fr); gap: 0; }
  dd { margin-bottom: .5rem; }
  .ways thead { display: none; }
  .ways tr, .ways th, .ways td { display: block; text-align: left; border: 0; padding: 0; white-space: normal; }
  .ways tr { padding: .5rem 0; border-bottom: 1px solid var(--line); }
  .ways th { font-weight: 600; }
  .metrics td[data-label]::before, .guardrails td[data-label]::before, .ways td[data-label]::before { content: attr(data-label) " "; color: var(--quiet); }
}
`;
