"""The conversations; what was said in them is in the streams of their runs."""

from django.db import models
from django.urls import reverse
from django.utils import timezone


class Conversation(models.Model):
    """A question to the assistant, and its answer once there is one."""

    key = models.SlugField(unique=True)
    question = models.CharField(max_length=300)
    answer = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.question

    def get_absolute_url(self) -> str:
        """Return the page of the conversation."""
        return reverse("agent:conversation", args=[self.key])

    @property
    def workflow_id(self) -> str:
        """Return the id of the run that answers."""
        return f"assistant-{self.key}"
