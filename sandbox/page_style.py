"""The look of the pages on which a shopper decides in Stripe's or PayPal's place."""

from __future__ import annotations

STYLE = """<style>
  :root { color-scheme: light dark; font: 1rem/1.5 Inter, system-ui, sans-serif;
    --page: light-dark(#eef1f5, #131518); --card: light-dark(#fff, #1d2024);
    --text: light-dark(#1a1d21, #eceef1); --quiet: light-dark(#5b636d, #a7afb9);
    --main: light-dark(#2b4c7e, #9dbcf0); --on-main: light-dark(#fff, #0f1a2b) }
  body { margin: 0; color: var(--text); background: var(--page) }
  main { max-width: 22rem; margin: 14vh auto; padding: 1.75rem; background: var(--card);
    border-radius: 16px }
  h1 { margin: 0; font-size: 1rem; font-weight: 500; color: var(--quiet) }
  .amount { margin: .2rem 0 1rem; font-size: 2rem; font-weight: 600 }
  button { width: 100%; padding: .75rem 1rem; margin-top: .6rem; font: inherit; font-weight: 600;
    color: var(--text); background: none; border: 1px solid var(--quiet); border-radius: 8px;
    cursor: pointer }
  button:first-of-type { color: var(--on-main); background: var(--main); border-color: var(--main) }
</style>"""
