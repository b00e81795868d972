from django.conf import settings
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models
from django.db.models.deletion import CASCADE

# By `AlterField` alone the foreign key would go and come back too, and all posts be held against it.
DROP = 'DROP INDEX CONCURRENTLY IF EXISTS "posts_post_author_id_fe5487bf"'
CREATE = 'CREATE INDEX CONCURRENTLY "posts_post_author_id_fe5487bf" ON "posts_post" ("author_id")'


class Migration(migrations.Migration):
    # An index is made and dropped without holding up those who write.
    atomic = False
    dependencies = (("posts", "0001_initial"),)
    operations = (
        AddIndexConcurrently("post", models.Index(fields=["author", "id"], include=("deleted_at",), name="post_author")),
        RemoveIndexConcurrently("post", "post_author_id"),
        migrations.RunSQL(
            DROP,
            CREATE,
            state_operations=[
                migrations.AlterField(
                    "post", "author", models.ForeignKey(settings.AUTH_USER_MODEL, CASCADE, related_name="posts", db_index=False)
                )
            ],
        ),
    )
