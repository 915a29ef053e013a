"""The application that openenv.yaml names. Its settings are environment variables.

CODEGYM_TASKS      task URI, humaneval by default
CODEGYM_REWARD     reward expression, binary by default
CODEGYM_TURNS      programs in an episode, 3 by default
CODEGYM_SESSIONS   episodes side by side, 8 by default
"""

import os

from codegym.integrations.openenv import server_app

app = server_app(
    os.environ.get("CODEGYM_TASKS", "humaneval"),
    os.environ.get("CODEGYM_REWARD", "binary"),
    turns=int(os.environ.get("CODEGYM_TURNS", "3")),
    sessions=int(os.environ.get("CODEGYM_SESSIONS", "8")),
)


def main(host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve the application."""
    import uvicorn

    uvicorn.run(app, host=host, port=port)


if __name__ == "__main__":
    main()
