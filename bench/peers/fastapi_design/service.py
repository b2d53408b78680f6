"""Five endpoints as teams write them: FastAPI, SQLAlchemy with asyncpg, bcrypt 12, HS256 with a shared secret, no sessions."""

import datetime
import os
import uuid

import bcrypt
import jwt
from fastapi import Depends, FastAPI, HTTPException
from fastapi.concurrency import run_in_threadpool
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, EmailStr, Field
from sqlalchemy import DateTime, String, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SECRET = os.environ["SERVICE_SECRET"]
LIFE = datetime.timedelta(days=7)
NOBODY = bcrypt.hashpw(b"nobody", bcrypt.gensalt(12))

engine = create_async_engine(os.environ["SERVICE_DATABASE_URL"])
sessions = async_sessionmaker(engine, expire_on_commit=False)
bearer = HTTPBearer(auto_error=False)
app = FastAPI()


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    email: Mapped[str] = mapped_column(String, unique=True)
    name: Mapped[str]
    password_hash: Mapped[str]
    is_active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime.datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    updated_at: Mapped[datetime.datetime] = mapped_column(DateTime(timezone=True), server_default=func.now(), onupdate=func.now())


class SignUp(BaseModel):
    email: EmailStr
    name: str = Field(min_length=1, max_length=100)
    password: str = Field(min_length=8, max_length=72)


class SignIn(BaseModel):
    email: EmailStr
    password: str


class Change(BaseModel):
    name: str | None = Field(None, min_length=1, max_length=100)


class UserResponse(BaseModel):
    model_config = {"from_attributes": True}
    id: uuid.UUID
    email: str
    name: str
    created_at: datetime.datetime
    updated_at: datetime.datetime
    is_active: bool


class AuthResponse(BaseModel):
    access_token: str
    token_type: str = "bearer"
    expires_in: int = int(LIFE.total_seconds())
    user: UserResponse


async def create_tables():
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)


async def database():
    async with sessions() as session:
        yield session


async def current_user(
    credentials: HTTPAuthorizationCredentials | None = Depends(bearer), session: AsyncSession = Depends(database)
):
    if credentials is None:
        raise HTTPException(401, "Not authenticated")
    try:
        claims = jwt.decode(credentials.credentials, SECRET, algorithms=["HS256"])
    except jwt.ExpiredSignatureError:
        raise HTTPException(401, "Token has expired")
    except jwt.InvalidTokenError:
        raise HTTPException(401, "Invalid token")
    user = await session.get(User, uuid.UUID(claims["sub"]))
    if user is None:
        raise HTTPException(404, "User not found")
    return user


def signed_in(user):
    now = datetime.datetime.now(datetime.UTC)
    claims = {"sub": str(user.id), "email": user.email, "iat": now, "exp": now + LIFE}
    return AuthResponse(access_token=jwt.encode(claims, SECRET, algorithm="HS256"), user=UserResponse.model_validate(user))


@app.post("/api/auth/register", status_code=201)
async def register(new: SignUp, session: AsyncSession = Depends(database)) -> AuthResponse:
    # The hash runs on a thread: on the event loop it would stop every other request of this worker.
    password_hash = await run_in_threadpool(bcrypt.hashpw, new.password.encode(), bcrypt.gensalt(12))
    user = User(email=new.email.lower(), name=new.name, password_hash=password_hash.decode())
    session.add(user)
    try:
        await session.commit()
    except IntegrityError:
        raise HTTPException(409, "Email already registered")
    await session.refresh(user)
    return signed_in(user)


@app.post("/api/auth/login")
async def login(given: SignIn, session: AsyncSession = Depends(database)) -> AuthResponse:
    user = await session.scalar(select(User).where(User.email == given.email.lower()))
    # The connection goes back to the pool: it must not be held while the hash is computed.
    await session.commit()
    stored = user.password_hash.encode() if user else NOBODY
    matches = await run_in_threadpool(bcrypt.checkpw, given.password.encode(), stored)
    if not matches or user is None or not user.is_active:
        raise HTTPException(401, "Invalid email or password")
    return signed_in(user)


@app.post("/api/auth/logout")
async def logout(_: User = Depends(current_user)):
    return {"message": "Logged out successfully"}


@app.get("/api/auth/profile")
async def profile(user: User = Depends(current_user)) -> UserResponse:
    return user


@app.put("/api/auth/profile")
async def change_profile(
    change: Change, user: User = Depends(current_user), session: AsyncSession = Depends(database)
) -> UserResponse:
    if change.name is not None:
        user.name = change.name
    await session.commit()
    await session.refresh(user)
    return user
