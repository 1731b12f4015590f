"""An application with the manners every route relies on: who is asking, problem details, limits.

`commhub.web` builds the hub's own from it; the tests of a feature build one around its router alone.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from fastapi import Depends, FastAPI

from commhub.http import idempotency, problems
from commhub.http.auth import Principals, guard
from commhub.http.limits import MAX_BODY, RequestLimits
from commhub.kit.clock import Clock


def new_app(
    *,
    principals: Principals,
    clock: Clock,
    max_body: int = MAX_BODY,
    larger_bodies: Mapping[str, int] = MappingProxyType({}),
    **options: Any,
) -> FastAPI:
    """Make an empty application; `options` go to FastAPI as they are, `larger_bodies` to the limits.

    Every route that is included is behind `guard`. A plain Starlette route or mount is not: whoever adds one
    answers for it.
    """
    app = FastAPI(
        dependencies=[Depends(guard)],
        responses={"default": problems.RESPONSE},
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        **options,
    )
    app.state.principals = principals
    idempotency.install(app, clock)
    problems.install(app)
    # The last one added is the outermost: a refusal by a limit is a problem document as well.
    app.add_middleware(RequestLimits, max_body=max_body, larger=larger_bodies)
    app.add_middleware(problems.FaultsToProblems)
    return app
