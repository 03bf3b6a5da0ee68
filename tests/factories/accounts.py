"""Users by role, and their tokens."""

from itertools import count

from django.contrib.auth.models import Group, User
from django.utils import timezone

from crowetrade_site.core import roles, services

_numbers = count(1)


def account(role: str = "researcher", name: str = "") -> User:
    """Return a user of one role; "" gives none."""
    user = User.objects.create_user(
        name or f"{role or 'nobody'}-{next(_numbers)}", password="pw", is_staff=True
    )
    if role:
        user.groups.add(Group.objects.get_or_create(name=role)[0])
    return user


def token(user: User, *scopes: str) -> str:
    """Return the text of a token with the scopes given, or all the user's roles give."""
    wanted = scopes or sorted(roles.grants(user))
    return services.issue_token(
        user=user, name="test", scopes=wanted, actor=user, at=timezone.now()
    )[1]
