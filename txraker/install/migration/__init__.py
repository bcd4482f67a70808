"""Moving in from a Moonraker: looked at first, shown, done step by step, and undone when a step fails.

```
 situation: what is there ── plan: refusals, or steps (pure) ── journey: steps carried out, or undone ── trial
```
"""
