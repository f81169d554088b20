"""The page that people vote on: the only room that imports starlette and uvicorn."""
