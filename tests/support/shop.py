"""A small twin of a shop's log, whose right answer is known: users view items of one brand, and buy one of them."""

from pathlib import Path

import numpy as np

BRANDS, OF_BRAND = 6, 10
_USERS, _SESSIONS, _VIEWS = 150, 3, 4
_MODELS = """
[split]
refit = false
ranker = 0.25
test = 0.2
[encoder]
dimension = 16
history = 20
epochs = 6
batch_events = 128
learning_rate = 0.01
[ranker]
candidates = 40
history = 10
slices = 2
hidden = 16
epochs = 4
learning_rate = 0.005
[index]
spec = "Flat"
"""


def write_shop(folder: Path) -> Path:
    """Writes `events.csv` and `items.csv`, as the README's recipe names them; returns that recipe with small models.

    Item `i23` is the third of brand 2. In each session a user views four items of one brand, one of them a bestseller:
    the first or the sixth of the brand. The bestseller is then bought, unless the user has it. So each purchase follows
    a view of the same item, and nothing viewed without being a bestseller is ever bought.
    """
    random = np.random.default_rng(3)
    sessions = [(user, session) for session in range(_SESSIONS) for user in range(_USERS)]
    lines, bought = ["user_id,item_id,timestamp,event"], set[tuple[int, int]]()
    for number, (user, _) in enumerate(sessions):
        time = 1_700_000_000 + 1000 * number
        brand = int((user + random.integers(2)) % BRANDS) * OF_BRAND
        best = brand + 5 * int(random.integers(2))
        others = random.choice([place for place in range(OF_BRAND) if place % 5], _VIEWS - 1, replace=False)
        viewed = random.permutation([best, *(brand + others)])
        lines += [f"u{user:03},i{item:02},{time + 10 * step},view" for step, item in enumerate(viewed)]
        if (user, best) not in bought:
            bought.add((user, best))
            lines.append(f"u{user:03},i{best:02},{time + 100},buy")
    (folder / "events.csv").write_text("\n".join(lines) + "\n")
    items = [f"i{item:02},brand{item // OF_BRAND}" for item in range(BRANDS * OF_BRAND)]
    (folder / "items.csv").write_text("\n".join(["item_id,brand", *items]) + "\n")
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    recipe = folder / "recipe.toml"
    recipe.write_text(readme.partition("```toml\n")[2].partition("```")[0] + _MODELS)
    return recipe


def is_bestseller(item_id: str) -> bool:
    """Whether an item is one that viewers buy."""
    return int(item_id[1:]) % 5 == 0
